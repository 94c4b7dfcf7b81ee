"""What watches the processes of one machine."""
