"""Every knob, and how a recipe becomes a config. No torch here."""
