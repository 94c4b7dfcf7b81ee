"""What a process leaves for the next one, on disk: knows files and bytes, nothing of operators.

``store.py`` keeps bytes by key; ``surroundings.py`` says what all of them depend on."""
