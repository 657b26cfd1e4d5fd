"""Programs that use Pynenc the way its users do."""
