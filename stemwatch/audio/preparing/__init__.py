"""Songs made ready for their upload."""
