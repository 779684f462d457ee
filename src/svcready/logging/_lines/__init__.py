"""What makes a line: values, errors, limits, and the forms and layouts of the whole."""
