"""HL7 v2 messages to FHIR R4, by rules in plain files.

`maps/` has a file for each segment, `tables/` the code tables, `messages/` what is particular to a kind of message; a
site's file lays its own over them. `library` reads and checks the files, `engine` follows them, `datatypes` has the
conversions, `movements` makes an encounter's history out of what the messages said.
"""
