"""The torch room: one trial, from its description to its row. Everything that imports torch at the top lives here."""
