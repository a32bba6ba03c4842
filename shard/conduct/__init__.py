"""What main does about the zones' verdicts: leniency, strikes that outlast a visit, evidence."""
