import torch

from throughtime.models.boundaries import Boundary, Shelf, random_state, same_random_state, set_random_state


def test_a_boundary_is_detached_and_draws_the_same_again():
    state = [torch.ones(2, requires_grad=True) * 3, {"n": torch.tensor(4), "name": "a"}]
    boundary = Boundary.here(state)
    drawn, after = torch.rand(3), random_state()
    assert not boundary.state[0].requires_grad and boundary.state[1]["name"] == "a"
    set_random_state(boundary.random)
    assert torch.equal(torch.rand(3), drawn) and same_random_state(random_state(), after)
    assert not same_random_state(boundary.random, after)


def test_a_shelf_copies_into_places_that_were_given_back():
    shelf = Shelf(2)
    values = torch.zeros(3)
    kept = [shelf.put(Boundary.here([values.fill_(k), k])) for k in (1.0, 2.0)]
    assert [boundary.state[0].tolist() for boundary in kept] == [[1.0] * 3, [2.0] * 3]
    beyond = shelf.put(Boundary.here([values.fill_(3.0), 3]))
    places = {boundary.state[0].data_ptr() for boundary in kept}
    assert beyond.state[0].tolist() == [3.0] * 3 and beyond.state[0].data_ptr() not in places
    shelf.give_back(kept[0])
    again = shelf.put(Boundary.here([values.fill_(5.0), 5]))
    assert again.state[0].data_ptr() == kept[0].state[0].data_ptr()
    assert again.state[0].tolist() == [5.0] * 3 and again.state[1] == 5 and kept[1].state[0].tolist() == [2.0] * 3


def test_a_state_of_another_form_gets_memory_of_its_own():
    shelf = Shelf(1)
    shelf.give_back(shelf.put(Boundary.here([torch.zeros(3)])))
    longer = shelf.put(Boundary.here([torch.full((4,), 7.0)]))
    assert longer.state[0].tolist() == [7.0] * 4
