"""HL7 v2 messages: received and kept, acknowledged, mapped into the store, and our own on their way out."""
