"""Drugs by any of their names, their doses, and the rules that a prescription is held against."""
