"""What an output port promises: ODCS files, their types and the rules they bring."""
