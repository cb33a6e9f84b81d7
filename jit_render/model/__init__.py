"""Values and errors that every room shares. Nothing here does I/O."""
