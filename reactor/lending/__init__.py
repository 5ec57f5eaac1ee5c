"""What actions and triggers borrow: connections, collections, clients, a memory."""
