"""What reads the files that BfArM and its partners publish of ICD-10-GM and Alpha-ID."""
