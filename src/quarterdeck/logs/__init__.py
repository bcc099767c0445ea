"""Log lines of every service: taken in, searched, followed, exported."""
