"""What fall-from-grace costs, beside others and within one run: `make bench`. See README.md here."""
