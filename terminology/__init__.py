"""What words and codes mean: German, ICD-10-GM, drugs, billing schedules, laboratory values. Knows no FHIR."""
