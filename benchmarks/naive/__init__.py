"""What a careful developer would write: the floor that the app is measured against."""
