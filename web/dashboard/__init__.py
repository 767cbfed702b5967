"""The dashboard: pages made here, for people. No figure is computed here."""
