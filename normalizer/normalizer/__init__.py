"""Raw deliveries to events, and the archive of everything that came."""
