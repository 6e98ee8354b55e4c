"""What a browser sees: one page that says what this server is and which client goes where."""
