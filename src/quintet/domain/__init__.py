"""What Quintet is about: frozen dataclasses, enums and state machines. Imports nothing but the standard library."""
