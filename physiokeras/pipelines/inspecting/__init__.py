"""What a folder or a record holds, for a person to read, and drafts of definitions."""
