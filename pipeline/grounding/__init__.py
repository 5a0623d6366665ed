"""The gate between an engine's output and the chart: grounded or not written."""
