# Changing the shape: squeeze, unsqueeze, transpose, permute.
import torch

a = torch.tensor([[1.0, 2.0]])
s = torch.squeeze(a)
print(a, s, a.shape, s.shape)
d = torch.unsqueeze(s, axis=0)
print(s, d, s.shape, d.shape)
print(torch.zeros(1, 2, 1, 3).squeeze(2).shape, torch.zeros(1, 2, 1, 3).squeeze().shape, torch.zeros(2).squeeze(0).shape)
torch.manual_seed(0)
images = torch.floor(0 + 255 * torch.rand([20, 64, 64, 4])).int()  # batch, height, width, channel
print(images.shape)
swapped = torch.transpose(torch.transpose(images, 1, 2), 1, 3)
permuted = torch.permute(images, [0, 3, 1, 2])
print(swapped.shape, permuted.shape, torch.equal(swapped, permuted), permuted.stride(), permuted[3, 1, :3, :4])
matrix = torch.tensor([[1, 2, 3], [4, 5, 6]])
print(matrix)
print(matrix.t(), torch.equal(matrix.t(), torch.transpose(matrix, 0, 1)), matrix.T, matrix.mT.shape)
print(torch.zeros(2, 3, 4).movedim(0, -1).shape, torch.arange(3).expand(2, 3), torch.arange(3).repeat(2, 2))
