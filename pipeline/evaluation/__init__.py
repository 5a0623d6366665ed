"""How good the stages are: consultations with gold annotations, and what is measured on them."""
