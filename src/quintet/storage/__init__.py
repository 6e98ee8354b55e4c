"""Everything that is SQL: one policy for two databases, typed transactions, a file of plain functions per noun."""
