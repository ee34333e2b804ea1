"""How each known exam is written: a small module each, with its citation."""
