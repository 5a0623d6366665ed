"""`[models.NAME]` and `[stages]`: what cannot be meant is one sentence that names the place."""

from pathlib import Path

import pytest

from fhir_gateway import errors, settings

MODEL = "[models.a]\nengine = 'openai'\nurl = 'http://127.0.0.1:9/v1'\n"


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("[models.a]\nfile = 'x'\n", ", models.a: engine is missing: llama or openai."),
        ("[models.a]\nengine = 'x'\n", ", models.a: engine must be llama or openai."),
        (f"{MODEL}contxt = 1\n", ", models.a.contxt: Extra inputs are not permitted."),
        (f"{MODEL}networks = ['x']\n", ", models.a.networks: 'x' does not appear to be an IPv4 or IPv6 network."),
        (
            MODEL.replace("models.a", "models.rules"),
            ": the name 'rules' is the rules engine's: give [models.rules] another.",
        ),
        (f"{MODEL}[stages]\nscribe = ['a']\n", ": stages.scribe must end in 'rules'."),
        (f"{MODEL}[stages]\nscribe = []\n", ": stages.scribe must end in 'rules'."),
        ("[stages]\nscribe = ['b', 'rules']\n", ": stages.scribe names 'b', but there is no [models.b]."),
        (f"{MODEL}[stages]\nscribe = ['a', 'a', 'rules']\n", ": stages.scribe names a model twice."),
        (f"{MODEL}[stages]\nscrib = ['rules']\n", ", stages.scrib: Extra inputs are not permitted."),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(tmp_path: Path, toml: str, told: str) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(toml, "utf-8")
    with pytest.raises(errors.ConfigurationError) as refused:
        settings.load(config)
    assert refused.value.message == f"In gateway.toml{told}"


def test_a_chain_is_read_without_its_end(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text(f"{MODEL}[stages]\nscribe = ['a', 'rules']\n", "utf-8")
    stages = settings.load(config).stages
    assert stages.chain("scribe") == ("a",) and stages.chain("bill") == () and stages.models == {"a"}
