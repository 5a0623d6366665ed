"""What a model is asked for each stage, and what is left of its answer once gate, catalogues and rules have judged it.

A model points at evidence and words statements. Which drug a text names, which code the year's catalogue holds, which
rule warns and which fee is due is decided by the same tables and rules as without a model.
"""
