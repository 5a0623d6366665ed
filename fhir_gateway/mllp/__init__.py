"""HL7 v2 over MLLP. In this version a message is received and kept, and told that nothing maps it yet."""
