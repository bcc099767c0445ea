"""The reputation of sending addresses: blacklists, mail events, an explained score."""
