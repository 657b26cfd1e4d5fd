"""Published places of configuration types; the configuration itself is `pynenc.config`."""
