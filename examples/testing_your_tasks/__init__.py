"""How users test their own tasks, with the pytest plug-in that comes with Pynenc."""
