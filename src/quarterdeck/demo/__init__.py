"""A sample mail platform that runs beside the server, offline, on sample data."""
