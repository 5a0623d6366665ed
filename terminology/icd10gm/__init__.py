"""ICD-10-GM: codes by catalogue year, and the German terms that lead to them."""
