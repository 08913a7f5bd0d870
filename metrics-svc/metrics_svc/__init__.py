"""Delivery metrics: facts from the events, what follows from them, and the numbers with what made them."""
