"""Fee schedules: EBM and GOÄ items with their values by date, and the rules that decide."""
