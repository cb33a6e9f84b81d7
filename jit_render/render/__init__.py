"""Renderers behind one port."""
