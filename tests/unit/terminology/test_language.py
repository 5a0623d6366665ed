"""`terminology.german.language`: German with its dialects, and what is not German."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation import cases
from terminology.german import language


@pytest.mark.parametrize(
    "text",
    [
        "Guten Tag, was führt Sie zu mir? Ich habe seit drei Tagen Husten und Fieber.",
        "I hob seit gestern so a Kreizweh, i ko mi ned bucken, des is nimma schee.",
        "Des dut mir halt scho arg weh, wisset Se, i ka nemme laufe.",
        "Ick hab det seit jestern, und det jeht nich weg.",
        "Herz und Lunge unauffällig.",
        "Abdomen weich, keine Abwehrspannung, Darmgeräusche regelrecht.",
        "Er war in the hospital, hat er gesagt, und da ist ihm schlecht geworden.",
    ],
)
def test_german(text: str) -> None:
    assert language.is_german(text)


@pytest.mark.parametrize(
    "text",
    [
        "Good morning, what brings you here today? I have had a cough for three days.",
        "Bonjour, qu'est-ce qui vous amène ? J'ai mal à la tête depuis trois jours et je ne dors pas.",
        "Merhaba, ben üç gündür çok öksürüyorum ve bu gece hiç uyumadım, başım için bir ilaç var mı?",
        "Buenos días, ¿qué le trae por aquí? Me duele la cabeza y no puedo dormir.",
        "Dzień dobry, od trzech dni się źle czuję i nie mogę spać, boli mnie to na plecach.",
        "Buongiorno, ho mal di testa da tre giorni e non riesco a dormire.",
    ],
)
def test_other_languages(text: str) -> None:
    assert not language.is_german(text)


@pytest.mark.parametrize("text", ["", "Hm.", "Ja.", "Ibuprofen 400", "12345", "Husten, Fieber"])
def test_too_little_to_call_it_foreign(text: str) -> None:
    assert language.is_german(text)


@pytest.mark.parametrize("case", cases.bundled(), ids=lambda case: case.name)
def test_the_bundled_consultations_are_german(case: cases.Case) -> None:
    assert language.is_german(case.transcript)


@given(st.text(max_size=200))
def test_any_text_is_taken(text: str) -> None:
    assert language.is_german(text) in (True, False)
