"""What is derived from the message structs: TypeScript, JSON Schema, and the tables of the published page."""
