"""What a careful developer writes by hand: the floor that the app is measured against."""
