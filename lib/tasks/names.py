"""First names for the generated tasks that need many."""

_NAMES = """
Ada Aaron Abel Adele Agnes Aidan Alan Alba Albert Alice Alma Alvin Amos Andre Andrea Angus Anita Anton April Arlo
Arthur Aster Astrid August Axel Barbara Basil Beatrix Bella Benno Bernard Bianca Blake Bonita Boris Brenda Bruno
Calvin Cameron Carla Carlos Carmen Cecil Cedric Celine Chloe Clara Claude Clement Colin Cora Cyril Daisy Dalia
Damian Daphne Dario David Dean Debora Denis Diana Diego Dina Dolores Dora Dorothy Douglas Edgar Edith Edmund Elena
Eli Elias Elise Ella Elmer Elsa Emil Emma Enid Eric Esther Ethan Eugene Evan Faith Felix Fergus Fiona Flora Floyd
Frank Freya Frida Gabriel Gail George Gerald Gilbert Gina Gloria Grace Graham Greta Gustav Hanna Harold Harvey
Hazel Hector Heidi Helen Henry Herbert Hilda Hope Hugo Ian Ida Ignaz Inga Ingrid Irene Iris Isaac Isla Ivan Jack
Jacob Jade Janet Jasper Jean Jenny Jerome Joan Joel Johanna Jonas Josef Joyce Judith Julia Julius Karen Karl
Keith Kenneth Kira Klara Konrad Kurt Lara Lars Laura Lena Leonard Liam Lidia Linda Linus Lionel Lisa Lloyd Lola
Louis Lucas Lucia Luther Lydia Mabel Magda Malcolm Manuel Marco Marek Margot Marta Martin Matilda Maud Maya Melvin
Milan Mira Miriam Mona Morgan Nadia Naomi Nathan Nelson Nicola Nigel Nina Noah Nora Norman Odette Olaf Olga Olive
Omar Oscar Otto Pablo Pamela Patrick Paul Pedro Penelope Petra Philip Pia Quentin Rachel Ralph Ramon Raul Rebecca
Regina Rita Robert Roland Rosa Roy Rudolf Rufus Ruth Sabina Samuel Sandra Sara Sebastian Selma Simon Sofia Stella
Sven Sybil Tamara Thea Theodor Thomas Tilda Tobias Trudy Ulrich Una Ursula Vera Victor Vincent Viola Vivian Walter
Wanda Wesley Wilma Xenia Yolanda Yvonne Zachary Zelda
"""

FIRST_NAMES = tuple(_NAMES.split())
