"""Between the wire and the domain: the only place where a FHIR path and a domain name stand side by side."""
