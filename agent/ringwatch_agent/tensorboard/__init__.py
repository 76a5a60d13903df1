"""Messages of TensorBoard's event files, generated; nothing of our own."""
