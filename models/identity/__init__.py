"""What a part of a definition is, as data: the same as long as the part means the same."""
