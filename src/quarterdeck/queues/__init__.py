"""Jobs of many engines behind one small set of Protocols."""
