"""Prices and usage to money. Pure."""
